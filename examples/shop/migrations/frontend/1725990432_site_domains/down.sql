drop trigger if exists site_domains_lower on site_domains;

commit and chain;

drop function if exists site_domains_lower();

commit and chain;

drop index if exists site_domains_site_id_idx;

commit and chain;

drop table if exists site_domains;
