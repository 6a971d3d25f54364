"""`vedette agents`: logins for agents, made and taken away while `vedette up` runs."""

from pathlib import Path

import pytest

from commands import up, vedette
from vedette import Client
from vedette.errors import BusUnreachable


async def test_an_agent_gets_a_login_that_survives_a_restart(tmp_path: Path) -> None:
    """It is taken at once, is the same after a restart, and is gone when it is removed."""
    state = tmp_path / "state"
    before = await vedette("agents", "add", "early", "--state-dir", str(state), "--json")
    assert before.code == 0, before.err
    assert (before.json()["user"], before.json()["url"]) == ("agent-early", None)
    async with up(state) as running:
        await running.line("ready")
        again = (await running.ask("agents", "add", "early", "--json")).json()
        assert again["password"] == before.json()["password"]
        added = await running.ask("agents", "add", "support-bot")
        assert added.code == 0, added.err
        for url in (again["url"], added.out.strip()):
            async with Client(url, timeout_s=60) as agent:
                assert (await agent.best("chat")).recommendation is None
        listed = (await running.ask("agents", "list", "--json")).json()
        assert [one["name"] for one in listed["agents"]] == ["early", "support-bot"]
        assert again["password"] not in (await running.ask("agents", "list")).out
        assert (await running.ask("agents", "remove", "support-bot")).code == 0
        with pytest.raises(BusUnreachable):
            async with Client(added.out.strip(), timeout_s=60) as agent:
                await agent.best("chat")
        wrong = await running.ask("agents", "remove", "support-bot")
        assert wrong.code == 2
        assert "known: early" in wrong.err
    async with up(state) as running:
        await running.line("ready")
        url = (await running.ask("agents", "add", "early", "--json")).json()["url"]
        async with Client(url, timeout_s=60) as agent:
            assert (await agent.best("chat")).recommendation is None


async def test_the_account_for_a_server_of_ones_own_is_an_entry_of_all_accounts() -> None:
    """The entry alone, and all accounts with it, are the same text."""
    entry = await vedette("agents", "add", "support-bot", "--accounts", "--json")
    assert entry.code == 0, entry.err
    account = entry.json()["account"]
    assert "$AGENT_SUPPORT_BOT_PASSWORD" in account
    whole = await vedette("contracts", "--accounts", "--agent", "support-bot")
    assert "".join(account.split()) in "".join(whole.out.split())
    assert account in (await vedette("agents", "add", "support-bot", "--accounts")).out
    wrong = await vedette("agents", "add", "Support Bot", "--accounts")
    assert wrong.code == 2
    assert "is not a valid name of an agent" in wrong.err
