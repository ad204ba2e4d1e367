"""A worker of the shop's own: the activity `sealEmails`, which moves a data migration in code.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    SHOP_KEY=... .venv/bin/python worker.py

The contract of its input and answer is in docs/data-migrations.md, "Handlers that are code".
"""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import psycopg
from sealing import PREFIX, seal, unseal
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

TASK_QUEUE = os.environ.get("SHOP_TASK_QUEUE", "shop-data")

# A call does batches for so long, and then tells the run how far it is: each call is a few events in Temporal's history.
SECONDS_PER_CALL = 10

# A session that waits, or is left in its transaction, must not hold others up for long.
SESSION = "-c lock_timeout=5s -c idle_in_transaction_session_timeout=30s"


@activity.defn(name="sealEmails")
def seal_emails(call: dict[str, Any]) -> dict[str, Any]:
    key = os.environ["SHOP_KEY"].encode()
    forward = call["direction"] == "forward"
    rewrite = (lambda email: seal(key, email)) if forward else (lambda email: unseal(key, email))
    until = time.monotonic() + SECONDS_PER_CALL
    rows_done = 0
    with psycopg.connect(connection_string(call), autocommit=True, options=SESSION) as connection:
        while True:
            cursor, rows = batch(connection, call, forward, rewrite)
            rows_done += rows
            activity.heartbeat({"doing": "sealing" if forward else "unsealing", "rows": rows_done})
            if cursor is None or time.monotonic() > until:
                break
        progress = ask_progress(connection)
    # Null: there is no customer, so there is nothing to move in either direction.
    done = progress is None or progress == (1 if forward else 0)
    return {"cursor": cursor, "rowsDone": rows_done, "progress": progress, "done": done}


def batch(
    connection: psycopg.Connection[Any], call: dict[str, Any], forward: bool, rewrite: Callable[[str], str]
) -> tuple[str | None, int]:
    """One transaction: the rows and the cursor behind them are durable together, or neither is."""
    token, migration = call["token"], call["migration"]
    with connection.transaction():
        # Not the cursor of the input: an earlier attempt at this call may have come further.
        [start] = fetch_row(connection, "select pgunwind.batch_from(%s, %s)", (token, migration))
        rows = connection.execute(
            "select id, email from customers where id > %s and starts_with(email, %s) <> %s order by id limit %s for update",
            (int(start or 0), PREFIX, forward, call["batchSize"]),
        ).fetchall()
        with connection.cursor() as cursor:
            cursor.executemany("update customers set email = %s where id = %s", [(rewrite(email), id) for id, email in rows])
        # At the end of the table the next pass begins at its beginning: somebody may have made rows behind us.
        end = str(rows[-1][0]) if rows else None
        connection.execute("select pgunwind.batch_done(%s, %s, %s, %s, %s)", (token, migration, start, end, len(rows)))
    return end, len(rows)


def ask_progress(connection: psycopg.Connection[Any]) -> float | None:
    query = "select avg(starts_with(email, %s)::integer)::double precision from customers"
    [progress] = fetch_row(connection, query, (PREFIX,))
    return progress


def fetch_row(connection: psycopg.Connection[Any], query: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return row


def connection_string(call: dict[str, Any]) -> str:
    """The run says where the connection string is, never what it is."""
    hint = call["connection"]
    if hint["kind"] == "env":
        return os.environ[hint["name"]]
    if hint["kind"] == "file":
        return Path(hint["path"]).read_text().strip()
    raise ApplicationError(
        f"the connection of {call['instance']}/{call['database']} is a {hint['kind']} that only pg-unwind knows; "
        "give it by env or file in pg-unwind.yaml",
        type="NoConnection",
        non_retryable=True,
    )


async def main() -> None:
    client = await Client.connect(
        os.environ.get("TEMPORAL_ADDRESS", "127.0.0.1:7233"),
        namespace=os.environ.get("TEMPORAL_NAMESPACE", "default"),
    )
    with ThreadPoolExecutor(4) as threads:
        worker = Worker(
            client,
            task_queue=TASK_QUEUE,
            activities=[seal_emails],
            activity_executor=threads,
            max_concurrent_activities=4,
        )
        print(f"serving sealEmails on {TASK_QUEUE}", flush=True)
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
