drop table if exists beta_widgets;

delete from feature_flags
 where name like 'beta-%';
