create type ob as (a int); create table ob_t (x ob, y int); insert into ob_t values (row(1), 2);
create function ob_same(ob, ob) returns boolean language sql immutable as 'select ($1).a = ($2).a';
create function ob_plus(ob, int) returns ob language sql immutable as 'select row(($1).a + $2)::ob'; create function ob_plus(int, ob) returns ob language sql immutable as 'select $2';
create operator + (leftarg = ob, rightarg = int, function = ob_plus, commutator = +); create operator + (leftarg = int, rightarg = ob, function = ob_plus, commutator = +);
create view ob_v as select x + y as z, y + x as w from ob_t; comment on operator + (ob, int) is 'plus';
-- Nobody has made its negator yet; then one whose negator does not say so of itself.
create operator = (leftarg = ob, rightarg = ob, function = ob_same, commutator = =, negator = <>);
create operator @@@ (leftarg = text, rightarg = text, function = texteq, negator = !@@); create operator !@@ (leftarg = text, rightarg = text, function = textne);
