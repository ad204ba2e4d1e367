alter table orders
  drop constraint if exists orders_channel_known,
  drop column if exists channel;
