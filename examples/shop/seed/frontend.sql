-- Users, sites and what hangs on them, for the schema of v3.0.0. Arithmetic instead of random(): the same rows everywhere.

insert into versions (service, version, updated_at, first_version)
values ('frontend', '3.0.0', '2025-07-24 05:00:00+00', '3.0.0')
on conflict (service) do update
  set version = excluded.version,
      updated_at = excluded.updated_at;

insert into workspaces (id, name)
select i, 'workspace ' || i
  from generate_series(2, 40) as i;

insert into users (id, email, display_name, role, status, created_at, updated_at, workspace_id, passkey_required)
select i,
       'user' || i || '@example.org',
       'User ' || i,
       (case when i % 1000 = 0 then 'owner' when i % 50 = 0 then 'staff' else 'customer' end)::user_role,
       (case when i % 97 = 0 then 'suspended' else 'active' end)::user_status,
       '2023-01-01 00:00:00+00'::timestamptz + i * interval '27 minutes',
       '2023-01-01 00:00:00+00'::timestamptz + i * interval '28 minutes',
       1 + i % 40,
       i % 500 = 0
  from generate_series(1, 60000) as i;

insert into addresses (user_id, line1, line2, city, country, is_default, workspace_id)
select 1 + i % 60000,
       (1 + i * 7 % 200) || ' Harbour Road',
       case when i % 9 = 0 then 'Back door' end,
       (array['Lisbon', 'Bergen', 'Ghent', 'Turku', 'Gdansk'])[1 + i % 5],
       (array['PT', 'NO', 'BE', 'FI', 'PL'])[1 + i % 5],
       i < 60000,
       1 + (1 + i % 60000) % 40
  from generate_series(0, 79999) as i;

insert into user_roles (user_id, role_id)
select u.id, r.id
  from users u
  join roles r on r.id = 1 + u.id / 50 % 3
 where u.role <> 'customer';

insert into sites (id, slug, name, owner_id, settings, created_at, workspace_id)
select i,
       'site-' || i,
       'Site ' || i,
       1000 * (1 + i % 60),
       jsonb_build_object('theme', (array['plain', 'dark', 'sea'])[1 + i % 3], 'columns', 1 + i % 4),
       '2023-02-01 00:00:00+00'::timestamptz + i * interval '1 day',
       1 + i % 40
  from generate_series(1, 600) as i;

insert into site_pages (id, site_id, path, title, body, published, workspace_id)
select i,
       1 + i % 600,
       '/page-' || i / 600,
       'Page ' || i,
       repeat('Fresh from the harbour. ', 1 + i % 20),
       i % 4 <> 0,
       1 + (1 + i % 600) % 40
  from generate_series(1, 18000) as i;

insert into page_drafts (page_id, author_id, state, body)
select 1 + i * 3,
       50 * (1 + i % 1200),
       (array['open', 'in review', 'published'])[1 + i % 3]::draft_state,
       'Draft ' || i
  from generate_series(1, 5000) as i;

insert into uploads (id, site_id, file_name, bytes)
select md5('upload ' || i)::uuid,
       1 + i % 600,
       'photo-' || i || '.jpg',
       1000 + i * 37 % 900000
  from generate_series(1, 6000) as i;

insert into site_domains (domain, site_id, verified_at, updated_at)
select 'shop' || i || '.example.com',
       1 + i % 600,
       case when i % 5 <> 0 then '2024-09-10 00:00:00+00'::timestamptz + i * interval '1 hour' end,
       '2024-09-10 00:00:00+00'::timestamptz + i * interval '1 hour'
  from generate_series(1, 900) as i;

insert into api_tokens (user_id, digest, scopes, last_used_at)
select 50 * (1 + i % 1200),
       sha256(convert_to('token ' || i, 'UTF8')),
       array['orders:read'],
       case when i % 3 = 0 then '2025-01-01 00:00:00+00'::timestamptz + i * interval '10 minutes' end
  from generate_series(1, 3000) as i;

insert into feature_flags (name, enabled, rollout)
values ('new-checkout', true, 100),
       ('gift-cards', true, 25),
       ('beta-widgets', true, 5),
       ('beta-chat', false, 0);

insert into audit_log (occurred_on, actor_id, action, details, workspace_id)
select date '2023-01-01' + i % 1000,
       case when i % 11 <> 0 then 50 * (1 + i % 1200) end,
       (array['sign in', 'edit page', 'refund', 'export'])[1 + i % 4]::audit_action,
       jsonb_build_object('n', i),
       1 + i % 40
  from generate_series(1, 90000) as i;

insert into user_notes (user_id, note, noted_at)
select 1 + i * 13 % 60000,
       'Called about order ' || i,
       '2025-01-05 00:00:00+00'::timestamptz + i * interval '5 minutes'
  from generate_series(1, 3000) as i;

insert into invitations (id, workspace_id, email, accepted_at)
select md5('invitation ' || i)::uuid,
       1 + i % 40,
       'colleague' || i || '@example.org',
       case when i % 2 = 0 then '2025-02-20 00:00:00+00'::timestamptz + i * interval '1 hour' end
  from generate_series(1, 800) as i;

insert into passkeys (user_id, credential, sign_count)
select 500 * (1 + i % 120),
       sha256(convert_to('passkey ' || i, 'UTF8')),
       i % 50
  from generate_series(1, 400) as i;

select setval(pg_get_serial_sequence('workspaces', 'id'), 40),
       setval(pg_get_serial_sequence('users', 'id'), 60000),
       setval(pg_get_serial_sequence('sites', 'id'), 600),
       setval(pg_get_serial_sequence('site_pages', 'id'), 18000);

refresh materialized view site_stats;

analyze workspaces, users, addresses, user_roles, sites, site_pages, page_drafts, uploads, site_domains, api_tokens,
  feature_flags, audit_log, user_notes, invitations, passkeys, site_stats;
