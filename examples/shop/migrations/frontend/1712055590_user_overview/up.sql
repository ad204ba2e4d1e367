create view user_overview as
select u.id,
       u.email,
       u.role,
       u.status,
       count(a.id) as addresses
  from users u
  left join addresses a on a.user_id = u.id
 group by u.id;

create function users_matching(prefix text) returns table (id bigint, email text)
  language sql
  stable
as $$
select u.id, u.email
  from users u
 where lower(u.email) like lower(prefix) || '%'
 order by u.email
 limit 20
$$;
