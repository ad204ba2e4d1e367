drop table if exists feature_flags;
