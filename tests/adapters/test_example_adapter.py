"""The example of adapters/README.md: a package, found by its entry point, that keeps the contract."""

from __future__ import annotations

import shutil
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import distribution
from pathlib import Path

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.base import Adapter, Agent
from adapters.testing import AdapterContract, PolledContract
from adapters.testing.backends.base import PACE as SLOW
from adapters.testing.backends.base import Backend, Run
from adapters.testing.backends.world import PACE, BackendWorld, world_of
from bridge.agents import kinds, load_adapter

EXAMPLE = Path(__file__).parents[1] / "example_adapter"
MODULE = "threadbridge_parrot"


class ParrotBackend(Backend):
    """The service that the example talks to."""

    def __init__(self, *, key: str = "parrot-key", pace: float = SLOW) -> None:
        self._questions: list[tuple[str, str, Run]] = []  # conversation, text, run
        super().__init__(key=key, pace=pace)

    def routes(self) -> list[Route]:
        return [
            self.operation("ask", "/questions", self._ask, "POST"),
            self.operation("answer", "/questions/{id}", self._answer),
        ]

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.key}"

    async def _ask(self, request: Request) -> Response:
        body = await self.body(request)
        if body.keys() != {"text", "voice", "conversation"}:
            raise HTTPException(400, "text, voice and conversation are wanted")
        conversation = body["conversation"] or f"talk-{len(self._questions)}"
        earlier = [text for known, text, _ in self._questions if known == conversation]
        run = self.begin(conversation, body["text"], [], earlier)
        self._questions.append((conversation, body["text"], run))
        return JSONResponse({"id": len(self._questions) - 1, "conversation": conversation}, 201)

    async def _answer(self, request: Request) -> Response:
        number = int(request.path_params["id"])
        conversation, _, run = self._questions[number]
        state = "working" if not run.over else "failed" if run.plan.fails else "answered"
        answer = run.plan.text if state == "answered" else ""
        return JSONResponse({"id": number, "conversation": conversation, "state": state, "answer": answer})


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the package as an installer without a network would leave it."""
    folder = tmp_path_factory.mktemp("site-packages")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    shutil.copy(EXAMPLE / f"{MODULE}.py", folder)
    info = folder / f"{MODULE}-{project['version']}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(metadata)
    groups = project["entry-points"].items()
    lines = [f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in points.items()) for group, points in groups]
    (info / "entry_points.txt").write_text("\n\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder
    sys.modules.pop(MODULE, None)


@pytest.fixture
def parrot(installed: Path) -> Adapter:
    return load_adapter("parrot", "agents.bird")


def test_it_is_one_of_the_kinds(installed: Path) -> None:
    assert "parrot" in kinds()
    assert distribution("threadbridge-parrot").version == "1.0"


def test_it_comes_from_where_it_was_installed(parrot: Adapter, installed: Path) -> None:
    assert Path(str(sys.modules[MODULE].__file__)).parent == installed
    assert parrot.Settings.model_fields.keys() == {"base_url", "api_key", "voice"}


def test_it_has_the_length_that_the_guide_promises() -> None:
    lines = (EXAMPLE / f"{MODULE}.py").read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.startswith(("from", "import", '"""'))]
    assert len(code) <= 50


def test_the_guide_shows_the_code_that_is_tested() -> None:
    code = (EXAMPLE / f"{MODULE}.py").read_text()
    guide = (EXAMPLE.parents[1] / "adapters" / "README.md").read_text()
    assert code[code.index("class ParrotSettings") :].strip() in guide


class TestParrot(AdapterContract, PolledContract):
    @pytest.fixture
    async def world(self, parrot: Adapter) -> AsyncIterator[BackendWorld[Agent]]:
        backend = ParrotBackend(pace=PACE)

        def make(url: str, client: httpx.AsyncClient) -> Agent:
            settings = parrot.Settings.model_validate({"base_url": url, "api_key": backend.key})
            return parrot(settings, client)

        async with world_of(backend, make, {"question": ["ask"], "answer": ["answer"]}) as world:
            yield world
