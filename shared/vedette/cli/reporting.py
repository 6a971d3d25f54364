"""`report`: reports the outcome of a call, like an agent."""

from typing import Annotated

from cyclopts import Parameter

from vedette.cli import options
from vedette.cli.output import complain, document, say
from vedette.runtime.loop import run
from vedette.types import Outcome


def report(
    model: Annotated[str, Parameter(help="Model that was called (endpoint/name).")],
    /,
    *,
    outcome: Annotated[Outcome, options.Enumerated, Parameter(help="Outcome of the call.")] = Outcome.OK,
    ttft_ms: Annotated[
        float | None, Parameter(help="Milliseconds from the request to the first token.")
    ] = None,
    e2e_ms: Annotated[
        float | None, Parameter(help="Milliseconds from the request to the last token.")
    ] = None,
    prompt_tokens: Annotated[int | None, Parameter(help="Tokens of the prompt.")] = None,
    output_tokens: Annotated[int | None, Parameter(help="Tokens of the output.")] = None,
    use_case: Annotated[str | None, Parameter(help="Use case of the call.")] = None,
    caller: Annotated[
        str | None, Parameter(help="Name of the caller. Limits of reports count by login, not by this name.")
    ] = None,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Report how a call to MODEL (endpoint/name) ended."""

    async def send() -> int:
        async with where.client() as client:
            reply = await client.report(
                model,
                outcome,
                use_case=use_case,
                ttft_ms=ttft_ms,
                e2e_ms=e2e_ms,
                prompt_tokens=prompt_tokens,
                output_tokens=output_tokens,
                caller=caller,
            )
        if json:
            document(reply)
        elif reply.counted:
            say(f"{model}: counted")
        else:
            complain(f"{model}: not counted: {reply.reason}")
        return 0 if reply.counted else 1

    return run(send())
