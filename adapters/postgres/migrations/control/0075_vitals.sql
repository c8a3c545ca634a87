-- What the vital signs need: since when a transfer is in its state, and what the newest inspection found.
-- Runs with search_path = pg_catalog, so every name is qualified.

alter table control.transfer add column state_since timestamptz not null default clock_timestamp();
comment on column control.transfer.state_since is 'when it entered its state, whoever moved it there';
-- As near as can be told of transfers from before.
update control.transfer t
set state_since = coalesce(
    case state
        when 'preparing' then created_at
        when 'awaiting_upload' then frozen_at
        when 'scheduled' then accepted_at
        when 'released' then released_at
        when 'undone' then ended_at
    end,
    (select max(e.at) from control.transfer_event e where e.transfer_id = t.transfer_id),
    created_at);

create function control.note_state() returns trigger language plpgsql as $$
begin
    new.state_since := clock_timestamp();
    return new;
end
$$;
create trigger note_state before update on control.transfer
    for each row when (old.state is distinct from new.state) execute function control.note_state();

create index sent_mail_by_attempt on control.sent_mail (attempted_at);

create table control.inspection_note (
    only_one boolean primary key default true check (only_one),
    at       timestamptz not null,
    findings jsonb not null
);
comment on table control.inspection_note is
    'The newest inspection that a worker has finished: when, and how many findings of each kind.';
