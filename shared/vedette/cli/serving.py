"""`serve-mcp`: Vedette as tools for hosts of the Model Context Protocol."""

from vedette.cli import options
from vedette.errors import ConfigurationError
from vedette.local import installing
from vedette.runtime.loop import run


def serve_mcp(*, where: options.Instance = options.HERE) -> int:
    """Serve `recommend`, `explain`, `list_models` and `report` as MCP tools on standard input and output.

    A host starts it; its configuration names the command `vedette` with the argument `serve-mcp`.
    """
    try:
        from vedette.client.mcp_server import serve
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            where="serve-mcp",
            problem=f"{error.name} is not installed; install it ({installing.command('mcp')})",
        ) from error

    async def serving() -> int:
        await serve(where.client()).run_stdio_async()
        return 0

    return run(serving())
