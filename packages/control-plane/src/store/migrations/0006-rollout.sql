-- How revisions of a tenant reach its nodes in stages. A row is changed only by who has seen its newest version, so that any
-- replica may move a rollout on. One that has not ended says that most nodes have `base`; without one all have the newest.
create table signalbox.rollout (
  tenant text not null references signalbox.tenant,
  -- What is rolled out, and what nodes have that it has not reached.
  revision bigint not null,
  base bigint not null,
  plan jsonb not null,
  state text not null check (state in ('running', 'paused', 'halted', 'completed', 'rolled-back', 'superseded')),
  stage integer not null,
  members jsonb not null,
  stage_since timestamptz,
  settled_since timestamptz,
  started_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  reason text not null,
  author text not null,
  version integer not null,
  primary key (tenant, revision),
  check ((ended_at is null) = (state in ('running', 'paused', 'halted')))
);
create unique index rollout_under_way on signalbox.rollout (tenant) where ended_at is null;

-- The log: who did what to which rollout, and why. Nobody changes or deletes it.
create table signalbox.rollout_event (
  seq bigint generated always as identity primary key,
  tenant text not null references signalbox.tenant,
  revision bigint not null,
  at timestamptz not null default clock_timestamp(),
  event text not null,
  stage integer not null,
  -- Empty: Signalbox by itself.
  actor text not null,
  detail text not null
);
create index rollout_event_by_rollout on signalbox.rollout_event (tenant, revision, seq);

-- What each replica was told by nodes of how they do, since a stage began: with the revision of the rollout, and with
-- the one before. Not truth that could be lost.
create unlogged table signalbox.rollout_health (
  tenant text not null,
  revision bigint not null,
  stage integer not null,
  replica uuid not null,
  candidate jsonb not null,
  base jsonb not null,
  at timestamptz not null default clock_timestamp(),
  primary key (tenant, revision, stage, replica)
);

alter table signalbox.rollout enable row level security, force row level security;
alter table signalbox.rollout_event enable row level security, force row level security;
alter table signalbox.rollout_health enable row level security, force row level security;

create policy one_scope on signalbox.rollout to signalbox_app
  using (tenant = (select current_setting('app.tenant', true)) or (select current_setting('app.tenant', true)) = 'operator');
create policy one_scope on signalbox.rollout_event to signalbox_app
  using (tenant = (select current_setting('app.tenant', true)) or (select current_setting('app.tenant', true)) = 'operator');
create policy one_scope on signalbox.rollout_health to signalbox_app
  using (tenant = (select current_setting('app.tenant', true)) or (select current_setting('app.tenant', true)) = 'operator');
create policy read_all on signalbox.rollout for select to signalbox_tail using (true);

grant select, insert, update on signalbox.rollout to signalbox_app;
grant select, insert on signalbox.rollout_event to signalbox_app;
grant select, insert, update, delete on signalbox.rollout_health to signalbox_app;
grant select on signalbox.rollout to signalbox_tail;

-- Groups of nodes, which stages name.
alter table signalbox.token add column groups text[] not null default '{}';
