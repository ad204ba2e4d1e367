create table experiments (
  id bigint generated always as identity primary key,
  title text not null,
  during daterange not null,
  constraint experiments_one_at_a_time exclude using gist (during with &&)
);
