-- A ticket may be bound to the licence that it is meant for: stolen, it is worth nothing anywhere else.

alter table control.ticket add column for_licence text;
