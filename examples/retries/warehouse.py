"""A warehouse where things go wrong: what is tried again, what waits for somebody, and what takes long."""

import asyncio

from weft.service import ActionContext, ActionFailedError, Code, Pending, Service

service = Service("warehouse", version="1.0.0")


@service.action(idempotent=True)
async def reserve(item: str, ctx: ActionContext) -> dict[str, str]:
    """Reserve an item; the robot has time for us at the third attempt."""
    if ctx.attempt < 3:
        raise ActionFailedError("the robot is busy", reason="ROBOT_BUSY", code=Code.UNAVAILABLE)
    return {"shelf": f"shelf of {item}"}


@service.action(idempotent=True)
async def pack(boxes: int, ctx: ActionContext) -> dict[str, int]:
    """Pack boxes, going on where an attempt before was."""
    first = (ctx.heartbeat_details or {}).get("done", 0)
    for box in range(first, boxes):
        ctx.heartbeat({"done": box, "total": boxes})
        await asyncio.sleep(1)
    return {"packed": boxes}


@service.action(idempotent=True)
async def label(printer: str) -> dict[str, str]:
    """Print a label; the main printer is down."""
    if printer == "main":
        raise ActionFailedError("the printer is down", reason="PRINTER_DOWN", code=Code.UNAVAILABLE)
    return {"printed_by": printer}


@service.action
async def approve(item: str, ctx: ActionContext) -> dict[str, bool]:
    """Ask somebody, who answers when it suits."""
    print(f"may {item} leave? weft attempts complete {ctx.attempt_token}", flush=True)
    raise Pending


if __name__ == "__main__":
    service.run(server="127.0.0.1:7420")
