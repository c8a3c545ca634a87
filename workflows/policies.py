"""How long each kind of work may take and how it is tried again: every number in one place, with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

from domain.steps import PolicyName
from workflows.task_queues import CHECKS, CLONE, OF_CELLS, TRANSFERS
from workflows.task_queues import MAIL as MAIL_QUEUE
from workflows.task_queues import WEBHOOKS as WEBHOOKS_QUEUE


@dataclass(frozen=True, slots=True)
class Policy:
    """Where an activity runs, how long it may take in one attempt and in all, and how it is tried again."""

    task_queue: str
    start_to_close: timedelta
    retry: RetryPolicy
    schedule_to_close: timedelta | None = None
    heartbeat: timedelta | None = None
    cancellation: ActivityCancellationType = ActivityCancellationType.TRY_CANCEL

    @property
    def is_heavy(self) -> bool:
        """Tell whether it is work that waits in the queue of a cell."""
        return self.task_queue in OF_CELLS


# The SDK passes on a beat at most this often: a cancel and fresh progress travel with it. Its default, 80% of the
# heartbeat time-out, would let a copier run on for 48 s after a cancel.
BEAT = timedelta(seconds=3)

# Without a beat for this long the worker is taken for dead and another one goes on; a beat is sent every two seconds.
_SILENCE = timedelta(seconds=20)

# One short transaction. 30 s is far above any healthy run; past it the connection is taken for dead.
_TRANSACTION_TIMEOUT = timedelta(seconds=30)

# A database that restarts is back in seconds, one that fails over in minutes: soon at first, then patient.
_SERVER_AWAY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=1),
)

# A freeze that finds a writer at work tries again at the pace at which people save, and gives up after an hour:
# somebody waits for the ticket, and a transaction open for longer than that needs a person.
FREEZE = Policy(
    task_queue=TRANSFERS,
    start_to_close=_TRANSACTION_TIMEOUT,
    schedule_to_close=timedelta(hours=1),
    retry=RetryPolicy(
        initial_interval=timedelta(milliseconds=500),
        backoff_coefficient=1.5,
        maximum_interval=timedelta(seconds=15),
    ),
)

# Forward steps wait a night for a server that is away, not longer: then the old side gets its environment back.
STEP = Policy(
    task_queue=TRANSFERS,
    start_to_close=_TRANSACTION_TIMEOUT,
    schedule_to_close=timedelta(hours=8),
    retry=_SERVER_AWAY,
)

# On a planned evening it is the closing of the window that ends this work, and no limit here may come first: settings
# allow a window of 22 hours, and the night in which the clock is put back adds one. A start that support asks for has
# the whole day. A clone resumes, so an attempt that dies costs one unit of work. 120 attempts, five minutes apart from
# the ninth on, are nine and a half hours of nothing but failures: longer than from 22:00 to 06:00, so that a server
# that was away for an evening costs the evening and not the transfer.
HEAVY = Policy(
    task_queue=CLONE,
    start_to_close=timedelta(hours=24),
    schedule_to_close=timedelta(hours=24),
    heartbeat=_SILENCE,
    retry=RetryPolicy(
        initial_interval=timedelta(seconds=1),
        backoff_coefficient=2.0,
        maximum_interval=timedelta(minutes=5),
        maximum_attempts=120,
    ),
    # The compensation must not start while the copier still writes.
    cancellation=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)

# In the daytime, and in no hurry: the clone waits for this until its window closes. It only reads, so an undo need not
# wait for its end.
HASH = replace(
    HEAVY,
    schedule_to_close=None,
    cancellation=ActivityCancellationType.TRY_CANCEL,
)

# Somebody waits for the answer, in places that no clone takes. When it is not there after a night, the release is
# refused and can be given again.
CHECK = replace(
    HEAVY,
    task_queue=CHECKS,
    schedule_to_close=timedelta(hours=8),
    cancellation=ActivityCancellationType.TRY_CANCEL,
)

# A customer is frozen while this goes on, and what does not fit in three nights does not fit in the fourth. Evenings
# that nobody could begin, because no worker was there, do not count.
EVENINGS = 3

# As much to drop as an undo may have. From 06:00 to 22:00 are sixteen hours; when the evening has not been taken back
# after twelve, everything is undone.
POSTPONE = Policy(
    task_queue=TRANSFERS,
    start_to_close=timedelta(minutes=10),
    schedule_to_close=timedelta(hours=12),
    retry=_SERVER_AWAY,
)

# What must happen in the end: compensations and everything after the release. Ten attempts of one activity, then the
# workflow says that an operator is needed and goes on trying by itself (see `PAUSE_BETWEEN_ROUNDS`).
MUST_HAPPEN = Policy(
    task_queue=TRANSFERS,
    # Each is one transaction. When the worker dies in it, nobody knows before this has passed: a customer who waits for
    # the release, or for their own environment back, waits that much longer.
    start_to_close=timedelta(minutes=2),
    retry=RetryPolicy(
        initial_interval=timedelta(seconds=1),
        backoff_coefficient=2.0,
        maximum_interval=timedelta(minutes=1),
        maximum_attempts=10,
    ),
)
# Dropping a large clone is quick (0.07 s for 2M rows), but with thousands of tables it takes its time. It beats, so
# that a worker that dies in it is missed soon.
DROP = replace(MUST_HAPPEN, start_to_close=timedelta(minutes=10), heartbeat=_SILENCE)
PAUSE_BETWEEN_ROUNDS = timedelta(minutes=5)

# Mail waits for three days for a server that is down or greylists: RFC 5321, 4.5.4.1 gives relays 4 to 5 days, but news
# older than three helps nobody. Then it shows as a problem that can be sent again.
MAIL = Policy(
    task_queue=MAIL_QUEUE,
    start_to_close=timedelta(minutes=5),
    schedule_to_close=timedelta(days=3),
    heartbeat=_SILENCE,
    retry=RetryPolicy(
        initial_interval=timedelta(seconds=5),
        backoff_coefficient=2.0,
        maximum_interval=timedelta(minutes=15),
    ),
)

# Those that the table of steps names.
BY_NAME: Mapping[PolicyName, Policy] = MappingProxyType(
    {
        PolicyName.FREEZE: FREEZE,
        PolicyName.STEP: STEP,
        PolicyName.HEAVY: HEAVY,
        PolicyName.HASH: HASH,
        PolicyName.CHECK: CHECK,
        PolicyName.MUST_HAPPEN: MUST_HAPPEN,
        PolicyName.DROP: DROP,
        PolicyName.MAIL: MAIL,
    }
)

# News of another evening waits until nobody has chosen yet another for so long; twice as long after each that was sent.
SETTLED = timedelta(minutes=5)
SETTLED_DOUBLES = 8

# A server that greylists wants a pause before the second attempt; a mail that waits is seen to wait from the first.
PAUSE_BEFORE_MAIL_AGAIN = timedelta(seconds=15)

# Somebody waits for the answer to `resend`: three tries, then the problem itself is the answer.
RESEND = Policy(
    task_queue=MAIL_QUEUE,
    start_to_close=timedelta(minutes=2),
    heartbeat=_SILENCE,
    retry=RetryPolicy(initial_interval=timedelta(seconds=2), maximum_attempts=3),
)

# The event log is part of the promise to the caller, so a refusal waits for its line as long as it takes.
RECORD = Policy(
    task_queue=TRANSFERS,
    start_to_close=_TRANSACTION_TIMEOUT,
    retry=_SERVER_AWAY,
)

# Some seconds for thousands of environments, and a pause before the second look. What is asked for again the next
# night need not be tried for longer than an hour.
INSPECT = Policy(
    task_queue=TRANSFERS,
    start_to_close=timedelta(minutes=10),
    schedule_to_close=timedelta(hours=1),
    heartbeat=_SILENCE,
    retry=_SERVER_AWAY,
)

# Compares every row of the clones that await their release: as heavy as their verification was.
INSPECT_DEEPLY = Policy(
    task_queue=CLONE,
    start_to_close=timedelta(hours=8),
    schedule_to_close=timedelta(hours=8),
    heartbeat=_SILENCE,
    retry=_SERVER_AWAY,
)

# A repair that finds somebody in its way is tried for ten minutes; then it is told as what a person has to look at.
REPAIR = Policy(
    task_queue=TRANSFERS,
    start_to_close=timedelta(minutes=5),
    schedule_to_close=timedelta(minutes=10),
    retry=_SERVER_AWAY,
)

# Deliverers work in shifts of five minutes and are silent for ten seconds at most, while an endpoint hangs. They are
# needed for as long as there are endpoints, so they are tried for ever.
WEBHOOKS = Policy(
    task_queue=WEBHOOKS_QUEUE,
    start_to_close=timedelta(minutes=10),
    heartbeat=_SILENCE,
    retry=_SERVER_AWAY,
)

# One environment of many: a look at it, or its freeze and upload, which wait for others and for people at work. What
# does not come about in a quarter of an hour stays as it is, and is met by the next look.
PORTFOLIO = Policy(
    task_queue=TRANSFERS,
    start_to_close=timedelta(minutes=5),
    schedule_to_close=timedelta(minutes=15),
    heartbeat=_SILENCE,
    retry=_SERVER_AWAY,
)

# A reconciliation waits this long for transfers to be undone before it looks again; a recovery itself goes on until it
# succeeds, and while it does it is nothing that is wrong.
RECOVERIES = timedelta(minutes=10)
