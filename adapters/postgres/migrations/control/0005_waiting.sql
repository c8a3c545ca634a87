-- What waiting needs: mails of one kind that come more than once, and evenings that come again.

alter table control.sent_mail
    add column occurrence integer not null default 1 check (occurrence >= 1),
    drop constraint sent_mail_pkey,
    add primary key (transfer_id, kind, recipient, occurrence);
comment on column control.sent_mail.occurrence is
    'counts the mails of one kind: a weekly reminder is many mails, and each of them is sent at most once';

alter table control.transfer add column evening integer not null default 1 check (evening >= 1);
comment on column control.transfer.evening is
    'which planned start counts, 1 for the first. Everything between a start and the inspection carries its number, so that what a lost worker left of an earlier evening changes nothing in a later one.';
