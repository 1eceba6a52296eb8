"""The README's commands for the demo cluster work as they stand."""

from tests.support import readme
from tests.support.site import Site


async def test_the_readme_creates_a_fleet_and_a_run_that_completes(site: Site):
    for block in readme.blocks(readme.PROJECT, "## Create a fleet and a run"):
        readme.run(site, block)
    assert site.status("capital")["state"] == "Completed"
    assert site.status("capital")["result"]["preview"]


async def test_the_readme_suspends_resumes_stops_and_retries_a_run(site: Site):
    site.kubectl("apply", "-f", str(readme.EXAMPLES / "quickstart"))
    start, control = readme.blocks(readme.PROJECT, "## Control a run")
    readme.run(site, start)
    first = site.status("slow")["workflow"]["runId"]
    readme.run(site, control)
    await site.until_state("slow", "Running")
    status = site.status("slow")
    assert [attempt["state"] for attempt in status["attempts"]] == ["Cancelled"]
    assert status["workflow"]["runId"] != first
