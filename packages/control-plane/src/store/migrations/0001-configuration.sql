-- Tenants, their resources, revisions and the log of changes.
--
-- No code reads or writes these tables as their owner: every statement runs as signalbox_app within one scope, named
-- by the transaction's app.tenant, or as signalbox_tail, which may only read. Row security holds both to it.

do $$
begin
  if not exists (select from pg_roles where rolname = 'signalbox_app') then
    create role signalbox_app nologin;
  end if;
exception when duplicate_object or unique_violation then null; -- roles belong to the cluster: another database made it
end $$;
do $$
begin
  if not exists (select from pg_roles where rolname = 'signalbox_tail') then
    create role signalbox_tail nologin;
  end if;
exception when duplicate_object or unique_violation then null;
end $$;

-- Whoever cannot become these roles yet makes himself a member, as the creator of a role may. He may become them and
-- must not inherit from them: row security would then let the owner see all that the tail sees.
do $$
declare
  modern constant boolean := current_setting('server_version_num')::integer >= 160000;
  right_to_become constant text := case when modern then 'set' else 'member' end;
begin
  if pg_has_role(current_user, 'signalbox_app', right_to_become)
    and pg_has_role(current_user, 'signalbox_tail', right_to_become) then
    return;
  end if;
  execute format('grant signalbox_app, signalbox_tail to %I', current_user)
    || case when modern then ' with inherit false, set true' else '' end;
end $$;

grant usage on schema signalbox to signalbox_app, signalbox_tail;

-- One row a scope: each tenant that is or was, and `operator`.
create table signalbox.tenant (
  name text primary key,
  revision bigint not null default 0,
  -- The revision at which the present owner of the name began. Numbers go on when a name is used again, since nodes
  -- follow the highest; the history before belongs to another tenant and is shown to nobody.
  first_revision bigint not null default 0,
  resource_count integer not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  deleted_at timestamptz
);

-- The newest state of every resource; a deleted one stays as a tombstone, so that any reader can catch up from any
-- revision by asking for what changed since.
create table signalbox.resource (
  tenant text not null references signalbox.tenant,
  kind text not null,
  name text not null,
  revision bigint not null,
  digest text not null,
  body bytea not null,
  deleted boolean not null default false,
  primary key (tenant, kind, name)
);
create index resource_by_revision on signalbox.resource (tenant, revision);

-- Who changed what, why, from what.
create table signalbox.revision (
  tenant text not null references signalbox.tenant,
  revision bigint not null,
  parent bigint not null,
  cause text not null check (cause in ('apply', 'rollback')),
  author text not null,
  message text not null,
  change_count integer not null,
  at timestamptz not null default clock_timestamp(),
  primary key (tenant, revision)
);

-- Outbox and history. A reader finds what is new by (xid, seq) and its own low-water mark, never by seq alone: a
-- smaller seq may commit later.
create sequence signalbox.change_log_seq;
create table signalbox.change_log (
  seq bigint primary key default nextval('signalbox.change_log_seq'),
  xid xid8 not null default pg_current_xact_id(),
  tenant text not null references signalbox.tenant,
  revision bigint not null,
  kind text not null,
  name text not null,
  -- Both null: deleted.
  digest text,
  body bytea,
  at timestamptz not null,
  check ((digest is null) = (body is null))
);
create index change_log_by_xid on signalbox.change_log (xid, seq);
create index change_log_by_revision on signalbox.change_log (tenant, revision);
create index change_log_by_resource on signalbox.change_log (tenant, kind, name, revision);

-- What each request id did, so that a repeated request has one effect.
create table signalbox.write_request (
  tenant text not null references signalbox.tenant,
  id uuid not null,
  -- Hash of the request: the same id with another content is an error.
  fingerprint text not null,
  revision bigint not null,
  committed boolean not null,
  at timestamptz not null default clock_timestamp(),
  primary key (tenant, id)
);
create index write_request_by_age on signalbox.write_request (tenant, at);

alter table signalbox.tenant enable row level security, force row level security;
alter table signalbox.resource enable row level security, force row level security;
alter table signalbox.revision enable row level security, force row level security;
alter table signalbox.change_log enable row level security, force row level security;
alter table signalbox.write_request enable row level security, force row level security;

-- The sub-select makes the scope a constant of the plan, so that the primary keys stay usable. An unset scope sees
-- nothing. The list of tenants itself belongs to the operator.
create policy one_scope on signalbox.tenant to signalbox_app
  using (name = (select current_setting('app.tenant', true)) or (select current_setting('app.tenant', true)) = 'operator');
create policy one_scope on signalbox.resource to signalbox_app
  using (tenant = (select current_setting('app.tenant', true)));
create policy one_scope on signalbox.revision to signalbox_app
  using (tenant = (select current_setting('app.tenant', true)));
create policy one_scope on signalbox.change_log to signalbox_app
  using (tenant = (select current_setting('app.tenant', true)));
create policy one_scope on signalbox.write_request to signalbox_app
  using (tenant = (select current_setting('app.tenant', true)));

create policy read_all on signalbox.tenant for select to signalbox_tail using (true);
create policy read_all on signalbox.resource for select to signalbox_tail using (true);
create policy read_all on signalbox.revision for select to signalbox_tail using (true);
create policy read_all on signalbox.change_log for select to signalbox_tail using (true);

grant select, insert, update on signalbox.tenant, signalbox.resource to signalbox_app;
grant select, insert on signalbox.revision, signalbox.change_log to signalbox_app;
grant select, insert, delete on signalbox.write_request to signalbox_app;
grant usage on sequence signalbox.change_log_seq to signalbox_app;
grant select on signalbox.tenant, signalbox.resource, signalbox.revision, signalbox.change_log to signalbox_tail;

-- The operator's scope exists before anything is configured; the operator's name can never be a tenant's.
-- The owner is held to row security as well: it inserts as the application would.
set local role signalbox_app;
select set_config('app.tenant', 'operator', true);
insert into signalbox.tenant (name) values ('operator');
reset role;
