"""An operator watches the whole bridge, stops what runs and sends again what failed; people see it in their threads."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from bridge.settings import HttpSettings
from tests.e2e.people import People
from tests.e2e.running import at_rest, serving, settings_for, states
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

TOKEN = "the-operators-own-token"


async def test_an_operator_stops_and_sends_again(
    town: Town, people: People, platform: str, database: Path, quick: None
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    http = HttpSettings(port=port, ops_token=SecretStr(TOKEN))
    settings = settings_for(town, platform, database).model_copy(update={"http": http})
    script = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
    async with (
        serving(settings, people),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/ops/", headers=script, trust_env=False) as operator,
    ):

        async def turns(state: str) -> Any:
            return (await operator.get("turns", params={"state": state})).json()["turns"]

        thread = await people.say("ada", "general", "@threadbridge Say this slow 500: one, two and three")
        await eventually(lambda: states(database) == ["asking"])
        [running] = await turns("asking")
        assert (running["platform"], running["agent"], running["channel"]) == (platform, "general", thread.channel)
        assert (await operator.post(f"turns/{running['id']}/stop")).json()["done"]
        assert await at_rest(database, 1) == ["cancelled"]

        await people.say("ada", "general", "@threadbridge fail")
        assert await at_rest(database, 2) == ["cancelled", "failed"]
        [failed] = await turns("failed")
        assert (await operator.post(f"turns/{failed['id']}/retry")).json()["done"]
        assert await at_rest(database, 3) == ["cancelled", "failed", "failed"]
        again, before = await turns("failed")
        assert (before["superseded_by"], again["retry_of"]) == (again["id"], failed["id"])
        hour = (await operator.get("")).json()["hour"]["whole"]
        assert (hour["failed"], hour["stopped"]) == (2, 1)
