"""The command palette: every action by name, grouped by what it acts on."""

from __future__ import annotations

from typing import NamedTuple

from textual.command import DiscoveryHit, Hit, Hits, Provider

from moat_tui.screen.main_screen import MainScreen
from moat_tui.screen.output_screen import OutputScreen


class Command(NamedTuple):
    name: str
    help: str
    action: str


EVERYWHERE = (
    Command("help: keys", "Show the keys of where you are", "app.toggle_help"),
    Command("view: dark or light", "Change between Moat's two themes", "app.toggle_theme"),
    Command("view: choose a theme", "All themes, the terminal's own colours among them", "app.change_theme"),
    Command("app: quit", "Leave; runs go on unless you say otherwise", "app.quit"),
)
ON_MAIN = (
    Command("run: start", "Start a run in a workspace", "screen.start_run"),
    Command("run: output", "Open what the selected run printed", "screen.open_output"),
    Command("run: stop", "Ask the selected run to end; a second time kills it", "screen.stop_run"),
    Command("run: kill", "Kill the selected run at once", "screen.kill_run"),
    Command("request: detail", "All about the request under the cursor", "screen.open_request"),
    Command("request: follow", "Go to the newest request, and stay there", "screen.follow_requests"),
    Command("grant: add", "Store a credential that runs can be granted", "screen.add_grant"),
    Command("grant: show", "What is stored about the grant under the cursor", "screen.show_grant"),
    Command("grant: revoke", "Delete the credential under the cursor", "screen.revoke_grant"),
    Command("audit: verify", "Verify the selected run's chain again now", "screen.verify"),
    Command("pane: runs", "Go to the runs", "screen.jump('runs')"),
    Command("pane: requests", "Go to the requests", "screen.jump('requests')"),
    Command("pane: grants", "Go to the grants", "screen.jump('grants')"),
    Command("pane: audit", "Go to the audit chain", "screen.jump('audit')"),
    Command("view: zoom", "Enlarge the pane, or put it back", "screen.zoom"),
    Command("view: put back", "Put an enlarged pane back", "screen.unzoom"),
)
ON_OUTPUT = (
    Command("output: search", "Search the output", "screen.search"),
    Command("output: next match", "The next line that matches", "screen.next(1)"),
    Command("output: previous match", "The previous line that matches", "screen.next(-1)"),
    Command("output: follow", "To the end, and stay there", "screen.follow"),
    Command("output: back", "Back to the panes", "screen.back"),
)


class MoatCommands(Provider):
    """What can be done here; what cannot be done now is left out."""

    def _commands(self) -> list[Command]:
        here = (
            ON_MAIN
            if isinstance(self.screen, MainScreen)
            else ON_OUTPUT
            if isinstance(self.screen, OutputScreen)
            else ()
        )
        return [command for command in (*here, *EVERYWHERE) if self._possible(command)]

    def _possible(self, command: Command) -> bool:
        namespace, _, action = command.action.partition(".")
        node = self.screen if namespace == "screen" else self.app
        return bool(node.check_action(action.partition("(")[0], ()))

    def _run(self, command: Command) -> None:
        self.screen.run_worker(self._act(command), exit_on_error=False)

    async def _act(self, command: Command) -> None:
        await self.app.run_action(command.action)

    async def discover(self) -> Hits:
        for command in self._commands():
            yield DiscoveryHit(command.name, lambda command=command: self._run(command), help=command.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in self._commands():
            score = matcher.match(f"{command.name} {command.help}")
            if score > 0:
                yield Hit(
                    score,
                    matcher.highlight(command.name),
                    lambda command=command: self._run(command),
                    help=command.help,
                )
