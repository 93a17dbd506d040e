-- Credentials of people, scripts and nodes. The operator owns them all; the admin of a tenant sees those that are bound
-- to this tenant and to no other.
create table signalbox.token (
  id text primary key,
  name text not null,
  role text not null check (role in ('operator', 'tenant-admin', 'developer', 'auditor', 'node')),
  -- Empty: not bound to a tenant.
  tenants text[] not null,
  -- For nodes only; empty otherwise.
  gateway text not null,
  -- SHA-256 of the whole credential, which is 256 random bits and needs no salt.
  hash bytea not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  -- Coarse: written at most once a minute.
  last_used_at timestamptz
);

alter table signalbox.token enable row level security, force row level security;
create policy one_scope on signalbox.token to signalbox_app
  using ((select current_setting('app.tenant', true)) = 'operator'
    or tenants = array[(select current_setting('app.tenant', true))]);
grant select, insert, update on signalbox.token to signalbox_app;
