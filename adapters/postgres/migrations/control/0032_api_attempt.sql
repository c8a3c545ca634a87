-- How often somebody has tried lately, so that tickets and licence numbers cannot be tried out by the thousand.

-- Unlogged: after a crash everybody begins anew, which costs nothing.
create unlogged table control.api_attempt (
    who        text primary key check (octet_length(who) <= 500),
    -- When the attempts so far will have been paid off; one attempt costs a minute divided by the limit.
    settled_at timestamptz not null
);
create index api_attempt_by_age on control.api_attempt (settled_at);
comment on table control.api_attempt is 'attempts at the API by licence and by address, for the rate limit';
