update sites
   set settings = settings || jsonb_build_object('theme', legacy_theme);

alter table sites drop column legacy_theme;
