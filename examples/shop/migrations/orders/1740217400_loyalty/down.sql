drop trigger if exists orders_award_points on orders;
drop function if exists award_points();
drop table if exists loyalty_points;

delete from coupons
 where code like 'LOYALTY-%';
