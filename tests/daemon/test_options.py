"""What the daemon was started with goes over podnet.yaml, for it and for whoever serves or explains without it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from podnet.cli.node import command
from podnet.daemon.node import node_settings
from podnet.daemon.options import Options, keep_options, read_options
from podnet.daemon.paths import Paths
from podnet.daemon.source import open_source
from podnet.errors import IOFailure, StateError

CONFIGURED = pytest.mark.parametrize("configured", [True, False])


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Give paths below a folder of the test's own."""
    state = tmp_path / "state"
    return Paths(
        config=str(tmp_path / "podnet.yaml"),
        nodes=str(state / "nodes.json"),
        options=str(state / "options.json"),
    )


@CONFIGURED
@pytest.mark.parametrize("said", [True, False, None])
def test_what_was_said_goes_over_the_file(paths: Paths, configured: bool, said: bool | None) -> None:
    """The same for the daemon and without it; what was not said is the file's."""
    Path(paths.config).write_text(f"node: n1\nmasquerade: {str(configured).lower()}\n")
    keep_options(paths.options, Options(masquerade=said))
    expected = configured if said is None else said
    assert node_settings(paths).masquerade is expected
    source = open_source(node_settings(paths._replace(options="/nowhere")), paths)
    try:
        assert source.settings.masquerade is expected
    finally:
        source.nodes.close()


def test_a_start_that_says_nothing_forgets_what_another_said(paths: Paths) -> None:
    """The file is there only while there is something in it."""
    keep_options(paths.options, Options(masquerade=False))
    assert read_options(paths.options) == Options(masquerade=False)
    keep_options(paths.options, Options())
    assert not Path(paths.options).exists()
    assert read_options(paths.options) == Options()


def test_a_file_that_nobody_wrote_so_is_refused(paths: Paths) -> None:
    """By name, with the remedy."""
    keep_options(paths.options, Options(masquerade=False))
    Path(paths.options).write_text('{"masquerade": 7}')
    with pytest.raises(StateError, match=r"options\.json is not as the daemon writes it"):
        read_options(paths.options)
    with pytest.raises(IOFailure, match="cannot be read"):
        read_options(str(Path(paths.options).parent))


def test_what_is_no_boolean_is_refused() -> None:
    """With the word that was not understood."""
    outcome = CliRunner().invoke(command, ["run", "--masquerade=perhaps"])
    assert outcome.exit_code == 2
    assert "'perhaps' is not a valid boolean" in outcome.output
