alter table sites
  add column legacy_theme text not null default 'plain';

update sites
   set legacy_theme = coalesce(settings ->> 'theme', 'plain'),
       settings = settings - 'theme';
