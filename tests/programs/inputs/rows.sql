create table t (a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)
insert into t select i, hex(i * 2654435761 % 4294967296), sqrt(i) * sin(i / 97.0) from n;
create index tb on t (b);
create index tc on t (c);
select count(*), sum(a), round(sum(c), 9), min(b), max(b) from t;
select substr(b, 1, 2) as k, count(*), printf('%.12g', avg(c)) from t group by k order by k limit 60;
select t.a, u.a, t.b from t join t u on t.b > u.b and t.a = u.a + 7 where t.c between 10 and 11 order by t.b limit 40;
update t set c = c * 1.0000001 where a % 3 = 0;
delete from t where b like '%F0%';
select count(*), printf('%.15g', total(c)), printf('%.15g', max(c)) from t;
select a, c, rank() over (partition by a % 5 order by c desc) as r from t where a < 60 order by r, a limit 60;
select json_group_array(json_object('a', a, 'c', c)) from (select * from t where a % 1000 = 1 order by a);
pragma integrity_check;
