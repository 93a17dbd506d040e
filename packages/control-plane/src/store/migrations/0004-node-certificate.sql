-- Nodes may say who they are by certificate. What they may receive is a row nevertheless: of the form `certificate`, for a
-- gateway or for one node of it. A row of the form `join` buys a node its certificate and such a row, once.
alter table signalbox.token
  add column form text not null default 'bearer' check (form in ('bearer', 'join', 'certificate')),
  -- Empty: any node of the gateway.
  add column node text not null default '',
  -- Certificates that were issued here and are good, newest first; empty: another authority issues them, and all are.
  add column serials text[] not null default '{}';
-- A name has one owner at a time.
create unique index token_by_node on signalbox.token (gateway, node) where form = 'certificate' and revoked_at is null;
