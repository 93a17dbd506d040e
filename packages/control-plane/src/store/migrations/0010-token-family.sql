-- Which family of resources a node's token is served: of which kind of proxy its owner is. Empty for other roles.
alter table signalbox.token add column family text not null default '';
update signalbox.token set family = 'native' where role = 'node';
