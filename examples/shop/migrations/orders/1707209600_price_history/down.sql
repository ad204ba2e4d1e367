drop trigger if exists products_keep_price on products;
drop function if exists keep_price();
drop table if exists product_prices;
