drop table if exists alert_rules;
