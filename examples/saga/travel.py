"""A travel agency: three things to do, of which two can be undone, and each says by what."""

from weft.core.errors import ActionFailedError
from weft.service import Service

service = Service("travel", version="1.0.0")


@service.action(compensation="cancel_seats")
async def book_seats(trip: str, seats: int) -> dict[str, str]:
    """Book seats."""
    return {"booking": f"{trip}-{seats}"}


@service.action
async def cancel_seats(booking: str) -> dict[str, str]:
    """Give seats back."""
    return {"cancelled": booking}


@service.action(compensation="refund")
async def charge(card: str, amount: int) -> dict[str, str | int]:
    """Take money."""
    return {"payment": f"{card}/1", "amount": amount}


@service.action
async def refund(payment: str, amount: int) -> dict[str, str]:
    """Give money back."""
    return {"refunded": f"{amount} to {payment}"}


@service.action
async def send_ticket(booking: str, address: str) -> dict[str, str]:
    """Send the ticket by post; not to everywhere."""
    if address == "the moon":
        raise ActionFailedError("nobody delivers to the moon", reason="ADDRESS_UNREACHABLE")
    return {"tracking": f"T-{booking}"}


if __name__ == "__main__":
    service.run(server="127.0.0.1:7420")
