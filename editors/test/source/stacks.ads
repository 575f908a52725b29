--  A bounded stack of integers.

package Stacks is

   Capacity : constant := 16;

   type Stack is private;

   Overflow, Underflow : exception;

   function Is_Empty (S : Stack) return Boolean;

   function Is_Full (S : Stack) return Boolean;

   --  Puts Item on top. Raises Overflow when S is full.
   procedure Push (S : in out Stack; Item : Integer);

   --  Takes the top item off. Raises Underflow when S is empty.
   procedure Pop (S : in out Stack; Item : out Integer);

private

   type Item_Array is array (1 .. Capacity) of Integer;

   type Stack is record
      Items : Item_Array := (others => 0);
      Top   : Natural range 0 .. Capacity := 0;
   end record;

end Stacks;
