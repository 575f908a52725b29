package body Stacks is

   function Is_Empty (S : Stack) return Boolean is (S.Top = 0);

   function Is_Full (S : Stack) return Boolean is (S.Top = Capacity);

   procedure Push (S : in out Stack; Item : Integer) is
   begin
      if Is_Full (S) then
         raise Overflow;
      end if;
      S.Top := S.Top + 1;
      S.Items (S.Top) := Item;
   end Push;

   procedure Pop (S : in out Stack; Item : out Integer) is
   begin

   end Pop;

end Stacks;
