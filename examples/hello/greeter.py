"""The smallest service: two actions, hosted and registered by the SDK."""

from weft.service import Service

service = Service("greeter", version="1.0.0")


@service.action
async def greet(name: str) -> dict[str, str]:
    """Greet somebody by name."""
    return {"greeting": f"Hello, {name}!"}


@service.action
async def shout(greeting: str) -> dict[str, str]:
    """Say a greeting louder."""
    return {"greeting": greeting.upper()}


if __name__ == "__main__":
    service.run(server="127.0.0.1:7420")
