-- What each replica of the control plane says of itself, of the nodes that are connected to it, and of how far they are.
-- A replica writes rows of its own only, all that belong together in one transaction, numbered by its `report`. What is
-- said of nodes is no truth that could be lost: those tables are unlogged, and after a crash of the database every
-- replica says all again. That there is a replica outlives a crash: the others know that they have to wait for it.
create table signalbox.replica (
  -- Of one process: a restart is another replica.
  id uuid primary key,
  name text not null,
  -- A relay: what it does not offer it need not have.
  is_partial boolean not null,
  started_at timestamptz not null default clock_timestamp(),
  lease interval not null,
  -- Until then it is alive. Of one that has left: when it did.
  lease_until timestamptz not null,
  -- It stopped in order: nobody need wait for it.
  has_left boolean not null default false
);

create unlogged table signalbox.replica_report (
  replica uuid primary key,
  -- Number of its newest report.
  report bigint not null,
  -- Newest report that removed rows: who knows an older one reads everything of this replica again.
  removed_by bigint not null,
  -- All was told at least once.
  is_complete boolean not null
);

create unlogged table signalbox.node_status (
  replica uuid not null,
  -- Credential and id: nobody takes another's place by claiming its id.
  key text not null,
  report bigint not null,
  status jsonb not null,
  primary key (replica, key)
);
create index node_status_by_report on signalbox.node_status (replica, report);

-- The newest revision of a scope that a replica offers to its nodes, and how fast the last few reached them. A node
-- runs that revision unless its status says otherwise.
create unlogged table signalbox.propagation (
  replica uuid not null,
  scope text not null,
  revision bigint not null,
  history jsonb not null,
  report bigint not null,
  primary key (replica, scope)
);
create index propagation_by_report on signalbox.propagation (replica, report);
create index propagation_by_scope on signalbox.propagation (scope);

alter table signalbox.replica enable row level security, force row level security;
alter table signalbox.replica_report enable row level security, force row level security;
alter table signalbox.node_status enable row level security, force row level security;
alter table signalbox.propagation enable row level security, force row level security;

-- Nodes belong to the operator; the API shows a tenant what concerns it.
create policy operator_only on signalbox.replica to signalbox_app
  using ((select current_setting('app.tenant', true)) = 'operator');
create policy operator_only on signalbox.replica_report to signalbox_app
  using ((select current_setting('app.tenant', true)) = 'operator');
create policy operator_only on signalbox.node_status to signalbox_app
  using ((select current_setting('app.tenant', true)) = 'operator');
create policy operator_only on signalbox.propagation to signalbox_app
  using ((select current_setting('app.tenant', true)) = 'operator');

grant select, insert, update, delete on signalbox.replica, signalbox.replica_report, signalbox.node_status,
  signalbox.propagation to signalbox_app;
