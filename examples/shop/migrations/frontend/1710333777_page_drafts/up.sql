create type draft_state as enum ('open', 'in review', 'published');

create table page_drafts (
  id bigint generated always as identity primary key,
  page_id bigint not null references site_pages (id) on delete cascade,
  author_id bigint references users (id) on delete set null,
  state draft_state not null default 'open',
  body text not null
);

create index page_drafts_page_id_idx
  on page_drafts (page_id);
