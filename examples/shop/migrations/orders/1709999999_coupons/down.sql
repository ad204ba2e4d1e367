drop table if exists coupons;
