create table daily_totals (
  day date not null,
  site_slug text not null,
  views bigint not null,
  primary key (day, site_slug)
);
