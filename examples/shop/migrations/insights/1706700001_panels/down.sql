drop table if exists panels;
drop type if exists panel_kind;
