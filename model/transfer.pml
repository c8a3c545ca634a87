/*
 * The move of an environment, small enough to look at every order of events: freeze, ticket, upload, copy, verify, open,
 * release, and the undo of each, while workers die or fall silent at any point, the application writes, people release,
 * reject and cancel at once, and an operator terminates and heals. README.md beside this says which code each part
 * stands for, what is left out and why. Names in capitals after #ifdef are mutations: each must be found out.
 */
#ifndef WORKERS
#define WORKERS 2       /* attempts that can be at work at once: the one that counts, and one that was given up */
#endif
#ifndef MOVES
#define MOVES   2       /* an undone environment is moved once more, while attempts of the first move still run */
#endif
#ifndef WRITES
#define WRITES  1       /* that the application has acknowledged to its users, in the old environment and in the new */
#endif
#ifndef EVENINGS
#define EVENINGS 2      /* a clone that does not fit in the window is dropped and begun again the next evening */
#endif
#define NOBODY  255

mtype:state   = { nothing, preparing, awaiting_upload, scheduled, cloning, awaiting_release, released, undoing, undone };
mtype:trigger = { absent, lifted, up };
mtype:work    = { none, freeze, ticket, upload, clone, postpone, verify, open, release,
                  begin_undo, drop, let_go, revoke, unfreeze, finish_undo };
mtype:word    = { silence, yes, no };
mtype:verdict = { undecided, to_release, to_reject };

/* --- what PostgreSQL holds: survives everything ------------------------------------------------------------------- */

typedef Move {                  /* a row of control.transfer, and what hangs on it */
    mtype:state row = nothing;
    bool frozen;                /* control.fence has its line: this move froze the old environment */
    bool unfrozen;              /* ... and an undo has lifted it again */
    bool ticket_open;                /* a ticket that can still be used */
    bool reserved;              /* a row of control.environment for the new one */
    bool schema;                /* the new environment's schema */
    byte copier = NOBODY;         /* control.clone_run: whose attempt may write into it; NOBODY is closed */
    byte evening = 1;           /* control.transfer.evening: which planned start counts */
    bool barred;                /* ... the clone of an earlier one is still to be dropped */
    bool copied[2];             /* control.clone_unit */
    byte rows[2];               /* what the new schema holds */
    bool whole;                 /* control.transfer.clone_result */
    bool verified;
    bool enter;                 /* sb_app may use the new schema */
    bool fenced;                /* and its fence refuses every write */
};
Move move[MOVES];
mtype:trigger fence = absent;   /* the old environment's fence, one for all tables */
byte rows[2] = { 1, 1 };        /* what the old schema holds: two units of work */
byte released_move = NOBODY;    /* only looked at: once released, released for ever */
byte acknowledged = 2;          /* rows that users were told are stored */
bool writing;                   /* a transaction of the application that has passed the old fence and not committed */

#define old_writable            (fence != up)
#define new_writable(m)         (move[m].schema && move[m].enter && !move[m].fenced)
#define forward_barred(m)       (move[m].row == undoing || move[m].row == undone)
#if WORKERS == 2
#define all_idle                (!busy[0] && !busy[1])
#else
#define all_idle                (!busy[0] && !busy[1] && !busy[2])
#endif
#define at_rest(m)              (move[m].row == nothing || move[m].row == released || move[m].row == undone)

/* --- what Temporal holds: survives everything --------------------------------------------------------------------- */

byte at = 0;                    /* which move the workflow makes */
byte tonight = 1;               /* the evening that the workflow is at */
mtype:work order = none;        /* a scheduled activity that no worker has taken yet */
byte holder = NOBODY;           /* the worker whose answer counts */
mtype:word answer = silence;
mtype:verdict decision = undecided;
bool inspecting;                /* the workflow's state is awaiting_release */
bool decided_early;             /* a decision was taken before anybody could have compared */
bool cancel;
bool compensate_freeze, compensate_ticket, compensate_upload, compensate_clone;
bool may_terminate = true;
bool over;
bool busy[WORKERS];             /* attempts that still run, whether or not anybody listens */

#ifdef FAULTS                   /* for "it always ends" faults must end as well; all else is checked with no limit */
byte faults = FAULTS;
#define fault_possible          (faults > 0)
#define a_fault                 faults--
#else
#define fault_possible          true
#define a_fault                 skip
#endif

/* --- the invariant: true after every transaction ------------------------------------------------------------------ */

/* never two writable copies */
#define ONE_COPY(m)             !(old_writable && new_writable(m))
/* active, and nothing of a move is left */
#define ACTIVE_IS_CLEAN(m)      (!old_writable || !(move[m].schema || move[m].reserved || move[m].ticket_open))
/* nothing is left, and nothing comes back, once all is undone */
#define UNDONE_IS_CLEAN(m)      (move[m].row != undone || (!(move[m].schema || move[m].reserved || move[m].ticket_open) \
                                                          && (!move[m].frozen || move[m].unfrozen)))
/* rows are equal from the opening to the release */
#define EQUAL(m)                (move[m].row != awaiting_release || (move[m].rows[0] == rows[0] \
                                                                    && move[m].rows[1] == rows[1]))
/* released: for good, the only writable copy, with every row that was ever acknowledged, once */
#define RELEASED_FOR_GOOD(m)    (move[m].row == released && new_writable(m) && !old_writable \
                                 && move[m].rows[0] + move[m].rows[1] == acknowledged)

#define CHECK(m) \
    assert(ONE_COPY(m)); assert(ACTIVE_IS_CLEAN(m)); assert(UNDONE_IS_CLEAN(m)); assert(EQUAL(m)); \
    assert(m != released_move || RELEASED_FOR_GOOD(m))
#if MOVES == 1
#define check()                 CHECK(0)
#else
#define check()                 CHECK(0); CHECK(1)
#endif

/* --- transactions: each is one atomic step, and is refused or done ------------------------------------------------- */

#ifdef NO_BAR                   /* forward steps do not look whether the undo has begun */
#define hold_forward            true
#else
#define hold_forward            (!forward_barred(t))
#endif
#define hold_evening            (hold_forward && move[t].evening == evening)
#ifdef UNDO_AFTER_RELEASE       /* compensations do not look whether it was released */
#define hold_backward           true
#else
#define hold_backward           (move[t].row == nothing || move[t].row == undoing || move[t].row == undone)
#endif
#ifdef NO_TOKEN                 /* a copier does not look whether it is still the one */
#define hold_run                move[t].schema
#else
#define hold_run                (move[t].copier == me && move[t].row == cloning)
#endif
#ifdef FREEZE_DOES_NOT_WAIT     /* a fence that does not wait for writers in flight */
#define writers_are_out         true
#else
#define writers_are_out         (!writing)
#endif

/* A step forward: refused when barred, and nothing new when it was done before. */
#define ONCE(done_before, possible, effect) \
    d_step { \
        if \
        :: !hold_forward -> said = no \
        :: hold_forward && (done_before) -> said = yes \
        :: hold_forward && !(done_before) && (possible) -> effect; said = yes; check() \
        :: hold_forward && !(done_before) && !(possible) -> said = no \
        fi \
    }

/* A compensation: refused after the release, and before the undo has begun. */
#define BACK(effect) \
    d_step { \
        if \
        :: !(hold_backward) -> said = no \
        :: hold_backward -> effect; said = yes; check() \
        fi \
    }

/* A unit of the copy, in one transaction with its line in control.clone_unit. */
#define COPY(u) \
    d_step { \
        if \
        :: !(left[u]) -> skip \
        :: left[u] && !(hold_run) -> said = no \
        :: left[u] && (hold_run) -> move[t].rows[u] = move[t].rows[u] + rows[u]; move[t].copied[u] = true; check() \
        fi; \
        left[u] = false \
    }

/* Who was given up runs on between any two transactions, or does not: it died, or its transaction was rolled back. */
#define LIVES_ON \
    if \
    :: true \
    :: holder != me -> goto reply \
    fi
#define UNLESS_REFUSED \
    if \
    :: said == no -> goto reply \
    :: else \
    fi
/* One of several transactions, in all of which an attempt may stop. */
#define THEN(transaction)       atomic { LIVES_ON; transaction; UNLESS_REFUSED }

inline begin_run() {            /* every older attempt is barred from here on */
    d_step {
        if
        :: !(hold_evening) -> said = no
        :: (hold_evening) && move[t].whole -> left[0] = false; left[1] = false
        :: (hold_evening) && !move[t].whole && !move[t].barred &&
           (move[t].row == scheduled || move[t].row == cloning) ->
            move[t].row = cloning; move[t].copier = me; move[t].schema = true;
            left[0] = !move[t].copied[0]; left[1] = !move[t].copied[1]; check()
        :: else -> said = no
        fi
    }
}

inline finish_run() {
    d_step {
        if
        :: !(hold_run) && !((hold_evening) && move[t].whole) -> said = no
        :: else -> move[t].whole = true; said = yes; check()
        fi
    }
}

inline count_on() {             /* bars all that carries the number of this evening */
    d_step {
        if
        :: !hold_forward -> said = no
        :: hold_forward && move[t].evening == evening + 1 -> skip
        :: hold_forward && move[t].evening == evening && (move[t].row == scheduled || move[t].row == cloning) ->
            move[t].evening++; move[t].copier = NOBODY; move[t].barred = move[t].schema;
            move[t].whole = false; move[t].verified = false; move[t].row = scheduled; check()
        :: else -> said = no
        fi
    }
}

inline drop_evening() {
    d_step {
        if
        :: !hold_forward || move[t].evening != evening + 1 -> said = no
        :: hold_forward && move[t].evening == evening + 1 && move[t].barred ->
            move[t].schema = false; move[t].rows[0] = 0; move[t].rows[1] = 0;
            move[t].copied[0] = false; move[t].copied[1] = false; move[t].barred = false; said = yes; check()
        :: else -> said = yes
        fi
    }
}

inline sweep() {                /* what was listed is looked at once more under its lock */
    d_step {
        if
#ifdef BLIND_SWEEP              /* ... or is not */
        :: listed -> fence = absent; check()
#else
        :: listed && fence == lifted -> fence = absent; check()
#endif
        :: else -> skip
        fi;
        listed = false
    }
}

/* --- workers: take an order, do it, answer if anybody still listens ------------------------------------------------ */

active [WORKERS] proctype Worker() {
    byte me = _pid;
    byte t, evening;
    mtype:work doing = none;
    mtype:word said = silence;
    bool left[2];
    bool listed;

end_idle:
    do
    :: atomic { order != none && holder == NOBODY && (me == 0 || busy[0]) ->
                doing = order; order = none; t = at; evening = tonight; holder = me;
                busy[me] = true };
        if
        :: doing == freeze ->
            atomic {
                forward_barred(t) || move[t].frozen || writers_are_out ->
                ONCE(move[t].frozen, true, fence = up; move[t].frozen = true; move[t].row = preparing)
            }
        :: doing == ticket ->
            ONCE(move[t].row != preparing, true, move[t].ticket_open = true; move[t].row = awaiting_upload)
        :: doing == upload ->
            ONCE(move[t].reserved, move[t].row == awaiting_upload,
                 move[t].ticket_open = false; move[t].reserved = true; move[t].row = scheduled)
        :: doing == clone ->
            THEN(begin_run()); THEN(COPY(0)); THEN(COPY(1)); THEN(finish_run())
        :: doing == postpone ->
            THEN(count_on()); THEN(drop_evening())
        :: doing == verify ->
            ONCE(move[t].verified, move[t].whole && move[t].rows[0] == rows[0] && move[t].rows[1] == rows[1],
                 move[t].verified = true)
        :: doing == open ->
            ONCE(move[t].row == awaiting_release || move[t].row == released, move[t].verified && fence == up,
                 move[t].fenced = true; move[t].enter = true; move[t].row = awaiting_release)
        :: doing == release ->
            ONCE(move[t].row == released, move[t].row == awaiting_release,
                 move[t].fenced = false; move[t].row = released; released_move = t)
        :: doing == begin_undo ->
            atomic {
                if
#ifndef UNDO_AFTER_RELEASE
                :: move[t].row == released -> said = no
#endif
                :: move[t].row == undone -> said = yes
                :: else ->
                    move[t].row = undoing; said = yes; check()
                fi
            }
        :: doing == drop ->
            THEN(BACK(skip));
            THEN(move[t].copier = NOBODY);          /* waits for a unit at work, and bars every other */
            THEN(BACK(move[t].schema = false; move[t].rows[0] = 0; move[t].rows[1] = 0;
                      move[t].enter = false; move[t].fenced = false));
            THEN(d_step { move[t].copied[0] = false; move[t].copied[1] = false })
        :: doing == let_go -> BACK(move[t].reserved = false)
        :: doing == revoke -> BACK(move[t].ticket_open = false)
        :: doing == unfreeze ->
            THEN(BACK(if
                      :: move[t].frozen && !move[t].unfrozen -> fence = lifted; move[t].unfrozen = true
                      :: else -> skip
                      fi));
            THEN(listed = (fence == lifted));
            THEN(sweep())
        :: doing == finish_undo -> BACK(move[t].row = undone)
        fi;
reply:  atomic {                /* its work is done, and nobody may hear of it: then it is given up before this */
            if
            :: holder == me -> holder = NOBODY; answer = said
            :: else -> skip
            fi;
            doing = none; said = silence; t = 0; evening = 0; left[0] = false; left[1] = false; listed = false;
            busy[me] = false
        }
    od
}

/* --- the workflow, and after a termination `reconcile --fix` in its place ------------------------------------------ */

inline forget_order() { order = none; holder = NOBODY; answer = silence }

/* An attempt that is not heard of any more is followed by another: it may have died, or it may well run on. */
#define TRIED_AGAIN(w) \
    :: atomic { holder != NOBODY && fault_possible -> a_fault; holder = NOBODY; order = w }

#define TERMINATED \
    :: atomic { may_terminate && !healing -> may_terminate = false; forget_order(); goto terminated }

/* A step forward: a refusal, a cancel or the end of its patience turns the story back; its attempt may run on. */
inline forward(w) {
    order = w;
    do
    :: atomic { answer == yes -> answer = silence; break }
    :: atomic { answer == no -> answer = silence; goto undo }
    :: atomic { holder != NOBODY -> forget_order(); goto undo }
    :: atomic { holder != NOBODY && (w == clone || w == verify) && tonight < EVENINGS -> forget_order(); goto put_off }
    TRIED_AGAIN(w)
    TERMINATED
    od
}

/* What must happen in the end: tried until it works; whatever comes, it goes on. */
inline persist(w) {
    order = w;
    do
    :: atomic { answer == yes -> answer = silence; refused = false; break }
    :: atomic { answer == no -> answer = silence; refused = true; break }
#ifdef COMPENSATE_ONCE          /* a compensation whose worker died is not tried again */
    :: atomic { holder != NOBODY -> forget_order(); refused = false; break }
#else
    TRIED_AGAIN(w)
#endif
    TERMINATED
    od
}

#ifdef COMPENSATE_AFTER         /* the compensation is registered when the step is known to be done */
#define step(w, compensation)   forward(w); compensation = true
#else
#define step(w, compensation)   compensation = true; forward(w)
#endif

active proctype Workflow() {
    bool refused, healing;

freeze_first:
    step(freeze, compensate_freeze);
    step(ticket, compensate_ticket);
    if                          /* the upload comes, or the ticket expires */
    :: skip
    :: goto undo
    TERMINATED
    fi;
    step(upload, compensate_upload);
clone_tonight:
    step(clone, compensate_clone);
    forward(verify);
    forward(open);
    inspecting = true;
    if
    :: atomic { decision == to_release -> inspecting = false; cancel = false }
    :: atomic { decision == to_reject -> goto undo }
    :: atomic { cancel && decision != to_release -> goto undo }     /* a release that came first has won */
    TERMINATED
    fi;
    assert(!decided_early);
#ifdef CANCEL_BEATS_RELEASE     /* a cancel still turns the story back while the release is on its way */
    forward(release);
#else
    persist(release);
#endif
    assert(!refused);
    goto finally;

put_off:                        /* the window has closed on it */
    forward(postpone);
    tonight++;
    goto clone_tonight;

undo:
    atomic { inspecting = false; decision = undecided; cancel = false; tonight = 1 };
    persist(begin_undo);
    assert(!refused);           /* the workflow never wants to undo what was released */
#ifdef UNFREEZE_FIRST           /* the old environment is given back before the new one is gone */
    if :: compensate_freeze -> persist(unfreeze) :: else fi;
#endif
    if :: compensate_clone -> persist(drop) :: else fi;
    if :: compensate_upload -> persist(let_go) :: else fi;
    if :: compensate_ticket -> persist(revoke) :: else fi;
    if :: compensate_freeze -> persist(unfreeze) :: else fi;
    persist(finish_undo);
    goto next_move;

terminated:                     /* no compensation runs; `reconcile --fix` finds what is left, as often as it takes */
    atomic {
        inspecting = false; healing = true; decision = undecided; cancel = false; tonight = 1;
        compensate_freeze = false; compensate_ticket = false; compensate_upload = false; compensate_clone = false
    };
    do
    :: atomic { at_rest(at) && (move[at].row != nothing || all_idle) -> break }
    :: !at_rest(at) ->
        persist(begin_undo);
        if
        :: refused              /* it was released a moment ago */
        :: else ->
            persist(drop); persist(let_go); persist(revoke); persist(unfreeze); persist(finish_undo)
        fi
    od;
    healing = false;
    if :: move[at].row == released -> goto finally :: else fi;

next_move:
    atomic {
        compensate_freeze = false; compensate_ticket = false; compensate_upload = false; compensate_clone = false;
        decision = undecided; decided_early = false; cancel = false; refused = false; tonight = 1;
        /* what no statement looks at any more: fewer states that differ in nothing */
        move[at].frozen = move[at].frozen && !move[at].unfrozen; move[at].unfrozen = false;
        move[at].whole = false; move[at].verified = false; move[at].copier = NOBODY; move[at].barred = false
    };
    if
    :: atomic { at + 1 < MOVES -> at++; goto freeze_first }
    :: at + 1 >= MOVES
    fi;

finally:
    atomic {
        all_idle && !writing ->
        check();
        /* never none: the move is released, or the old environment is as it was, with every row */
        assert(move[at].row == released || (old_writable && rows[0] + rows[1] == acknowledged));
        over = true
    }
}

/* --- everybody else ------------------------------------------------------------------------------------------------ */

/* A write is acknowledged when it commits; between its statement and its commit a freeze has to wait for it. */
active proctype Application() {
    byte old_writes = WRITES, new_writes = WRITES;

end_of_day:
    do
    :: atomic { old_writes > 0 && old_writable && !over -> writing = true; old_writes-- };
        d_step { rows[0]++; acknowledged++; writing = false; check() }
    :: atomic { new_writes > 0 && new_writable(at) && !over ->
                move[at].rows[1]++; acknowledged++; new_writes--; check() }
    od
}

/* Signals at any moment and in any order; one that comes at the wrong moment is refused and leaves nothing. */
active proctype People() {
end_of_day:
    do
#ifdef EARLY_RELEASE_REMEMBERED
    :: atomic { decision == undecided && !over -> decision = to_release; decided_early = !inspecting }
#else
    :: atomic { decision == undecided && inspecting -> decision = to_release }
#endif
    :: atomic { decision == undecided && inspecting -> decision = to_reject }
    :: atomic { !cancel && inspecting -> cancel = true }    /* earlier ones are among the ends of patience */
    od
}

#ifdef FAULTS
ltl ends { <> over }
#endif
