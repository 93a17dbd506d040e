-- Nodes refuse a set that lost more than half of its resources unless its Manifest says that this is meant. What it says
-- is the newest revision up to which removals are known to be meant; see docs/rfd/0006-mass-removals-are-confirmed.md.
alter table signalbox.tenant
  add column removals_confirmed bigint not null default 0,
  -- Resources deleted by revisions after that one.
  add column removals_since integer not null default 0;
alter table signalbox.change_log add column removals_confirmed bigint not null default 0;

-- What was written before anybody could confirm counts as meant.
set local role signalbox_app;
select set_config('app.tenant', 'operator', true);
update signalbox.tenant set removals_confirmed = revision;
reset role;
