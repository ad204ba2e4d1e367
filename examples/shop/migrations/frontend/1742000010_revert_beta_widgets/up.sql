drop table if exists beta_widgets;
