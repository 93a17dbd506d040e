-- Tenants that a node may receive may also be told by their labels, as these are at the moment: in addition to those that
-- are named. Empty: by name only; without names and selector, all.
alter table signalbox.token add column selector text not null default '';
-- A relay receives what a node does, asks who nodes are, and tells what they run.
alter table signalbox.token drop constraint token_role_check;
alter table signalbox.token add constraint token_role_check
  check (role in ('operator', 'tenant-admin', 'developer', 'auditor', 'node', 'relay'));
-- What may grow by labels is not the tenant's.
drop policy one_scope on signalbox.token;
create policy one_scope on signalbox.token to signalbox_app
  using ((select current_setting('app.tenant', true)) = 'operator'
    or (tenants = array[(select current_setting('app.tenant', true))] and selector = ''));
