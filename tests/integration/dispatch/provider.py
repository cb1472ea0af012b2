"""A provider in a process of its own, which can be killed and stopped."""

from __future__ import annotations

import argparse
import asyncio
import os

from weft.service import Service

service = Service("demo")


@service.action
async def hang() -> None:
    await asyncio.Event().wait()


@service.action
async def who() -> dict[str, int]:
    return {"pid": os.getpid()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    service.run(listen=parser.parse_args().listen)
