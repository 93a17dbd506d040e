-- When the newest revision of a scope was made: with its number, what tells contents of the scope apart. It stands in the
-- row that writers lock, so that whoever has waited for the lock knows it as well. Null: made before this was noted.
alter table signalbox.tenant add column revised_at timestamptz;
