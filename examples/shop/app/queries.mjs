// What each release of the shop asks of its databases. Nothing asks which version the schema has: a release that stands on the
// schema of another, or on its data, answers or fails by these texts alone.

/** How a release reads a phone number, and how it writes one that comes as '+351 21 000004' or '+35121000004' in $3. */
const olderForm = {
  read: `phone, split_part(phone, ' ', 2)::integer as area, split_part(phone, ' ', 3)::integer as line`,
  write: String.raw`regexp_replace(replace($3, ' ', ''), '^(\+\d{3})(\d{2})(\d+)$', '\1 \2 \3')`,
};
const bothForms = { read: `replace(phone, ' ', '') as phone`, write: `replace($3, ' ', '')` };
const newerForm = { read: `phone, phone::numeric as dial`, write: `replace($3, ' ', '')` };

const paidBy = '(select p.method from payments p where p.order_id = o.id limit 1) as paid_by';
const coupon = '(select u.code from coupons u where u.used_by_order = o.id limit 1) as coupon';
const note = '(select n.note from order_notes n where n.order_id = o.id limit 1) as note';
const refunded = `(select sum(r.amount_cents)::integer
          from refunds r
          join payments p on p.id = r.payment_id
         where p.order_id = o.id) as refunded_cents`;

/** `shown` and `set`: what an order has beside the first release's columns, when it is read and when it is written. */
const v1_0_0 = { shown: [], set: {}, notes: false, phone: olderForm, theme: 'legacy_theme' };
const v1_1_0 = { ...v1_0_0, notes: true };
const v1_2_0 = { ...v1_1_0, shown: [paidBy] };
const v1_3_0 = { ...v1_2_0, shown: [paidBy, coupon] };
const v2_0_0 = {
  ...v1_3_0,
  shown: ['o.currency', paidBy, coupon],
  set: { currency: 'product.currency' },
  theme: `settings ->> 'theme'`,
};
const v2_1_0 = {
  ...v2_0_0,
  shown: ['o.channel', 'o.currency', paidBy, coupon],
  set: { currency: 'product.currency', channel: `'web'` },
  phone: bothForms,
};
const v2_2_0 = { ...v2_1_0, shown: ['o.number', ...v2_1_0.shown] };
const v3_0_0 = { ...v2_2_0, shown: [...v2_2_0.shown, refunded], notes: false, phone: newerForm };

/** By label; two labels of one release ask the same. */
export const RELEASES = Object.freeze({
  'v1.0.0': v1_0_0,
  'v1.1.0': v1_1_0,
  'v1.2.0': v1_2_0,
  'v1.2.1': v1_2_0,
  'v1.3.0': v1_3_0,
  'v2.0.0': v2_0_0,
  'v2.1.0': v2_1_0,
  'v2.2.0': v2_2_0,
  'v3.0.0': v3_0_0,
});

/** Request → the database that it is asked of, the text, and the fields of the request's body that are its values. */
export function queriesOf(release) {
  return {
    'GET /orders': { database: 'orders', text: orders(release) },
    'GET /customers': { database: 'orders', text: customers(release) },
    'GET /sites': { database: 'frontend', text: sites(release) },
    'POST /orders': { database: 'orders', ...placeOrder(release) },
  };
}

function orders({ shown, notes }) {
  const columns = ['o.id::integer', 'o.status', 'o.total_cents::integer', 'c.name as customer', ...shown];
  return `
select ${[...columns, ...(notes ? [note] : [])].join(',\n       ')}
  from orders o
  join customers c on c.id = o.customer_id
 order by o.id desc
 limit 10`;
}

function customers({ phone }) {
  return `
select id::integer, name, ${phone.read}
  from customers
 where phone is not null
 order by id desc
 limit 10`;
}

function sites({ theme }) {
  return `
select slug, name, ${theme} as theme
  from sites
 order by slug
 limit 10`;
}

/** One statement, so an order is there as a whole or not at all. No row: no such product. */
function placeOrder({ set, notes, phone }) {
  const columns = Object.keys(set).map((column) => `, ${column}`);
  const values = Object.values(set).map((value) => `, ${value}`);
  const noted = `, noted as (
  insert into order_notes (order_id, note)
  select id, $6 from placed where $6::text is not null
)`;
  return {
    values: ['email', 'name', 'phone', 'sku', 'quantity', ...(notes ? ['note'] : [])],
    text: `
with product as (
  select * from products where sku = $4 and active
), customer as (
  insert into customers (email, name, phone)
  select $1, $2, ${phone.write} from product
  on conflict (email) do update set name = excluded.name, phone = excluded.phone
  returning id
), placed as (
  insert into orders (customer_id, status, placed_at, total_cents${columns.join('')})
  select customer.id, 'placed', now(), $5::integer * product.price_cents${values.join('')}
    from customer, product
  returning id, total_cents
), line as (
  insert into order_lines (order_id, line_no, product_id, quantity, unit_price_cents)
  select placed.id, 1, product.id, $5::integer, product.price_cents from placed, product
)${notes ? noted : ''}
select id::integer, total_cents::integer from placed`,
  };
}
