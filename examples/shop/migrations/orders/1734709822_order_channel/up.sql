alter table orders
  add column channel text not null default 'web',
  add constraint orders_channel_known check (channel in ('web', 'phone', 'store'));
