"""Tools of the Model Context Protocol as a client calls them."""

import asyncio

import pytest


def call_tools(address, *calls):
    """The tools of a served page by name, and what each call, (name, arguments), gives; skips without ``mcp``."""
    pytest.importorskip("mcp", reason="gradio[mcp] is not installed")
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def use():
        async with (
            streamablehttp_client(f"{address}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            return tools, [await session.call_tool(name, given) for name, given in calls]

    return asyncio.run(use())
