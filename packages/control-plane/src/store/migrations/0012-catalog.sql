-- What MCP servers behind backends have, as nodes have seen it. One row a Backend that is one.
create table signalbox.catalog (
  tenant text not null references signalbox.tenant,
  backend text not null,
  -- When a node is to look at it. While one does, when another may: the lease ends then.
  due_at timestamptz not null default clock_timestamp(),
  lease uuid,
  state text not null default 'pending'
    check (state in ('pending', 'current', 'needs-auth', 'unreachable', 'failed')),
  problem text not null default '',
  checked_at timestamptz,
  node text not null default '',
  era text not null default '',
  protocol_version text not null default '',
  -- The newest version of what it has; 0: there is none.
  version bigint not null default 0,
  changed_at timestamptz,
  digest text not null default '',
  tools integer not null default 0,
  prompts integer not null default 0,
  resources integer not null default 0,
  templates integer not null default 0,
  tool_tokens integer not null default 0,
  primary key (tenant, backend)
);
create index catalog_by_due on signalbox.catalog (due_at);

-- Who saw when what is other than before. Nobody changes it; what is older than the history that is kept goes.
create table signalbox.catalog_version (
  tenant text not null,
  backend text not null,
  version bigint not null,
  at timestamptz not null default clock_timestamp(),
  node text not null,
  digest text not null,
  added integer not null,
  removed integer not null,
  changed integer not null,
  names jsonb not null,
  primary key (tenant, backend, version),
  foreign key (tenant, backend) references signalbox.catalog on delete cascade
);

-- Descriptors, byte for byte, each with the versions in which it stands: from `since` to before `until`.
create table signalbox.catalog_entry (
  tenant text not null,
  backend text not null,
  kind text not null check (kind in ('server', 'tool', 'prompt', 'resource', 'template')),
  name text not null,
  since bigint not null,
  until bigint,
  digest text not null,
  body bytea not null,
  primary key (tenant, backend, kind, name, since),
  foreign key (tenant, backend) references signalbox.catalog on delete cascade
);
create index catalog_entry_past on signalbox.catalog_entry (tenant, backend, until) where until is not null;

alter table signalbox.catalog enable row level security, force row level security;
alter table signalbox.catalog_version enable row level security, force row level security;
alter table signalbox.catalog_entry enable row level security, force row level security;

-- Which servers are due is asked for all tenants at once, in the operator's scope. What they have belongs to the tenant.
create policy one_scope on signalbox.catalog to signalbox_app
  using (tenant = (select current_setting('app.tenant', true)) or (select current_setting('app.tenant', true)) = 'operator');
create policy one_scope on signalbox.catalog_version to signalbox_app
  using (tenant = (select current_setting('app.tenant', true)));
create policy one_scope on signalbox.catalog_entry to signalbox_app
  using (tenant = (select current_setting('app.tenant', true)));

grant select, insert, update, delete on signalbox.catalog, signalbox.catalog_entry to signalbox_app;
grant select, insert, delete on signalbox.catalog_version to signalbox_app;

-- Backends that there are already. Those that are no MCP servers go when somebody looks for work.
set local role signalbox_app;
do $$
declare
  known text;
begin
  perform set_config('app.tenant', 'operator', true);
  for known in select name from signalbox.tenant where deleted_at is null and name <> 'operator' loop
    perform set_config('app.tenant', known, true);
    insert into signalbox.catalog (tenant, backend)
      select tenant, name from signalbox.resource where tenant = known and kind = 'Backend' and not deleted;
    perform set_config('app.tenant', 'operator', true);
  end loop;
end $$;
reset role;
