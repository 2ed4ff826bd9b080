"""How many requests a second, and for how much CPU: this client, httpx, httpx2, aiohttp and the openai SDK.

    python benchmarks/bench_client.py [--quick] [--json] [--only ours,httpx,…] [--in-flight N] [--rounds N]

Each contender runs in a process of its own against a server in another, on loopback; contenders take turns within a
round, and a ratio is the median over the rounds of the ratios within each round, so that a machine that gets slower
in between does no harm. What is measured: requests a second, CPU time of the client's process per request, and the
share of the ideal, which is the number in flight divided by the server's latency.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CONTENDERS = ("ours", "httpx", "httpx2", "aiohttp", "openai")
KB = 1000


@dataclass(frozen=True)
class Case:
    """One load."""

    in_flight: int
    tls: bool = False
    size: int = 50 * KB
    latency: float = 0.05

    @property
    def name(self) -> str:
        """For the table."""
        scheme = "TLS" if self.tls else "plain"
        return f"{self.in_flight:>3} in flight, {scheme}, {self.size // KB} kB, {self.latency * 1000:.0f} ms"

    @property
    def ideal(self) -> float:
        """Requests a second when the client takes no time at all."""
        return self.in_flight / self.latency


QUICK = (
    Case(1),
    Case(32),
    Case(128),
    Case(512),
    Case(128, latency=0.3),
    Case(128, tls=True, size=200 * KB),
)
WHOLE = tuple(
    dict.fromkeys(
        QUICK
        + tuple(
            Case(in_flight, tls, size, latency)
            for latency in (0.05, 0.3)
            for tls in (False, True)
            for size in (50 * KB, 1000 * KB)
            for in_flight in (1, 8, 32, 128, 512)
        )
    )
)


@contextmanager
def server(case: Case, certificate: str) -> Iterator[str]:
    """Run the server of a case; give its address."""
    command = [sys.executable, str(HERE / "_http_server.py"), str(case.latency), *([certificate] if case.tls else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield f"{'https' if case.tls else 'http'}://127.0.0.1:{port}/recog/v1/stt"
    finally:
        process.terminate()
        process.wait()


def run(name: str, case: Case, url: str, seconds: float, ca: str) -> dict[str, Any]:
    """Run one contender once."""
    command = [sys.executable, str(HERE / "_http_contenders.py"), name, url, str(case.in_flight), str(seconds)]
    command += [str(case.latency), str(case.size), *([ca] if case.tls else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed at {case.name}:\n{done.stderr}")
    return dict(json.loads(done.stdout))


def compare(case: Case, names: list[str], rounds: int, seconds: float, certificate: str, ca: str) -> dict[str, Any]:
    """Let the contenders take turns; return the medians, and the ratios to ours."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with server(case, certificate) as url:
        for number in range(rounds):
            # Alternating directions: nobody always runs on the machine that somebody else has warmed.
            for name in names if number % 2 == 0 else reversed(names):
                results[name].append(run(name, case, url, seconds, ca))
    summary: dict[str, Any] = {"case": asdict(case), "ideal": case.ideal, "contenders": {}}
    for name, runs in results.items():
        entry = {key: statistics.median(one[key] for one in runs) for key in runs[0]}
        entry["of_ideal"] = entry["requests_per_second"] / case.ideal
        if "ours" in results:
            pairs = list(zip(results["ours"], runs, strict=True))
            for ratio, key in (("ours_times_faster", "requests_per_second"), ("ours_cpu_share", "cpu_us_per_request")):
                ratios = [mine[key] / one[key] for mine, one in pairs if one["requests_per_second"]]
                entry[ratio] = statistics.median(ratios) if ratios else None  # of nothing that was done in time
        summary["contenders"][name] = entry
    return summary


def show(summary: dict[str, Any]) -> None:
    """Print the rows of a case."""
    print(f"\n{Case(**summary['case']).name}  (ideal {summary['ideal']:.0f} requests/s)")
    print(f"  {'':8} {'req/s':>8} {'of ideal':>9} {'CPU µs/req':>11} {'ours faster':>12} {'ours CPU':>9}")
    for name, entry in summary["contenders"].items():
        faster, share = entry.get("ours_times_faster"), entry.get("ours_cpu_share")
        figures = f"{entry['requests_per_second']:8.0f} {entry['of_ideal']:9.1%} {entry['cpu_us_per_request']:11.0f}"
        ratios = f" {faster:11.2f}x {share:8.2f}x" if faster is not None and name != "ours" else ""
        print(f"  {name:8} {figures}{ratios}")


def certificates(folder: str) -> tuple[str, str]:
    """Make a certificate for loopback; return its file and the authority's."""
    import trustme

    authority = trustme.CA()
    own, ca = str(Path(folder) / "server.pem"), str(Path(folder) / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(own)
    authority.cert_pem.write_to_path(ca)
    return own, ca


def machine() -> dict[str, Any]:
    """Where and with what it was measured."""
    packages = ("httpx", "httpcore", "h11", "anyio", "httpx2", "aiohttp", "openai", "uvloop")
    installed = {found.name.lower(): found.version for found in importlib.metadata.distributions()}
    found = {name: installed.get(name, "absent") for name in packages}
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "packages": found,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the six cases with a goal, not all of them")
    parser.add_argument("--rounds", type=int, help="how often each contender runs (default 3, quick 3)", default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each run measures")
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders, by commas")
    parser.add_argument("--in-flight", type=int, help="only the cases with so many in flight")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := set(names) - set(CONTENDERS):
        parser.error(f"no such contender: {', '.join(sorted(unknown))}; there are {', '.join(CONTENDERS)}")
    found = machine()
    if not options.json:
        print(f"Python {found['python']}, {found['system']}, {found['processors']} processors, {found['packages']}")
    summaries = []
    with tempfile.TemporaryDirectory() as folder:
        certificate, ca = certificates(folder)
        for case in QUICK if options.quick else WHOLE:
            if options.in_flight not in (None, case.in_flight):
                continue
            summaries.append(compare(case, names, options.rounds, options.seconds, certificate, ca))
            if not options.json:
                show(summaries[-1])
    if options.json:
        print(json.dumps({"machine": found, "cases": summaries}, indent=2))


if __name__ == "__main__":
    main()
